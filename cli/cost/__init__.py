"""What a deployment costs: the templates' resources, a workload, measured figures and AWS's list prices make a bill."""
