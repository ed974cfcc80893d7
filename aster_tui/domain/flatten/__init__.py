"""Close-all as a pure step machine: what to send next, what an answer proves, and when it is flat."""
