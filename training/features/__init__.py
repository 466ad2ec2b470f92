"""Features of a frozen backbone, extracted once and stored."""
