"""Images and labels: the data sets, how they are fetched, augmented and read from pictures."""
