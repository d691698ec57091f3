"""autopeft's own peft tuners. They are registered with peft as soon as peft is imported."""

from autopeft.methods.mechanisms.peft_import import install

install()
