"""What every other room stands on. Nothing here knows about models, data sets or charts."""
