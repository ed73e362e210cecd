"""Steps of a recorded run computed anew on this machine."""
