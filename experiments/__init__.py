"""What measures the results that the documentation publishes: a module for each file of ``docs/results`` and its samples."""
