"""Images and labels: the data sets, their download and augmentation, and reading of pictures."""
