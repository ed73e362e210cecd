"""What a study is: its grid, its source's claims, its pipeline file."""
