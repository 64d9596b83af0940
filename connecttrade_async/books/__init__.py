"""The books of accounts: rules that merge what is read and what streams say. No I/O."""
