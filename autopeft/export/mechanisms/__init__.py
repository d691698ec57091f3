"""What several toolkits' exports are made of; every other file of `export/` is a toolkit."""
