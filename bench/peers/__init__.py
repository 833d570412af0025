"""The peers, a module each: `prepare` makes its data, `opened` gives what is timed."""
