workloads:
