"""The release: path, sign-offs, checks, the folder that everyone gets, and the pattern brief. Sees noisy tables only."""
