"""One module per reconciled kind, each with its ``Reconciler``; ``registry`` says what it promises and finds it by
kind."""
