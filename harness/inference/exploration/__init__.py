"""What is explored and no claim: what explains a metric, all pairs, what a smaller search would have found."""
