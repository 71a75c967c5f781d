"""Large programs by columns: a bound that holds for all options, and a plan near it.

The program has a variable for each workload on each possible endpoint, which is too many to solve exactly. Here a
column stands for a whole endpoint: its replicas and all of its workloads (a pattern). Only patterns that lower the cost
at the present shadow prices are made. Rows that several endpoints share (each workload once, pools, quotas, sites,
budget) stay as they are.

References: Dantzig and Wolfe, "Decomposition Principle for Linear Programs", 1960; Geoffrion, "Lagrangean Relaxation
for Integer Programming", 1974; Desaulniers, Desrosiers, Solomon (editors), "Column Generation", 2005.
"""
