"""The ground floor: what many stations use and none owns."""
