"""Rules and arithmetic, pure: no I/O, no clock, no asyncio, money as Decimal."""
