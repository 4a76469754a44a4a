"""All that is to be measured on a card, in one go: the parts, their run, its results, and the page of them."""
