"""Operations that pages and commands share: promotion, training runs, start-up."""
