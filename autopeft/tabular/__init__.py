"""Tables of full-length truths: what every configuration of a sample comes to, and what a search would make of it."""
