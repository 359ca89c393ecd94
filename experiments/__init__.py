"""What measures the results that the documentation publishes, one module for each of its files."""
