"""Its being here lets the tests of `questions/` import `synthetic`, too."""
