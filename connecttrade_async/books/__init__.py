"""The books of accounts: the rules that merge snapshots and stream updates. No I/O."""
