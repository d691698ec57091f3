"""What several procedures are made of; every other file of `procedures/` is a procedure."""
