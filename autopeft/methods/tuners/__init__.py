"""autopeft's own peft tuners. Importing this package arms their registration with peft and imports no torch."""

from autopeft.methods.mechanisms.peft_import import install

install()
