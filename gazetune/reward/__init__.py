import logging

# Where bitsandbytes is installed, peft imports it, and it then warns in every process of an optional kernel it lacks.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
