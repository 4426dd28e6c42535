"""Who did what, when and with which outcome; append-only, and written in the transaction of what it tells of."""
