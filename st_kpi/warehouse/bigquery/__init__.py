"""The engine of production, through Google's client and over REST alone."""
