"""A trained model on the test images."""
