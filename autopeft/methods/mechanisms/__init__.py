"""What several methods are made of; every other file of `methods/` is a method."""
