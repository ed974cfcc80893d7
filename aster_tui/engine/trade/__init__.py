"""From a decision to an order, once: desks, executors, workers, ledger and outbox, paper and real."""
