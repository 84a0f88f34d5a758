"""From settings to results, a room for each stage; `run.py` tells the story."""
