"""Emergency close-all: it runs the step machine of the domain, account by account, and rehearses it."""
