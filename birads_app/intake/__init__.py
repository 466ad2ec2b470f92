"""From uploaded files to stored exams."""
