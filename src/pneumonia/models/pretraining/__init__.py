"""A backbone that learns findings from weak labels: in come squares and states, out comes what `weights: pretrained` means."""
