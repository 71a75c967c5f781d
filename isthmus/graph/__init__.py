"""What a stack's resource graph says: who reaches whom, by what right, and where a network leads.

Read off the rendered resources alone, whoever wrote them; the policies and the reports look at a stack through it.
"""
