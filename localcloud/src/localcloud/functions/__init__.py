"""Lambda: functions of the runtime python3.12, really run, in processes that stay warm."""
