"""A small library and its workloads, in which regressions are planted that counts are to name."""
