"""A study's missing cells as jobs of a cluster, and their results back in the study."""
