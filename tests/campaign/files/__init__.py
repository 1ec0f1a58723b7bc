"""Files of many writers, of random types and options."""
