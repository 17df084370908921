import logging

# Where bitsandbytes is installed, peft imports it, and it then warns in every process of an optional kernel it lacks.
# That module says nothing else, so that no other warning is lost.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
