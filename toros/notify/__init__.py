"""Telling people: mail now, webhooks later; for logs, alerts and the night alike."""
