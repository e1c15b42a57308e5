variable "region" {
  description = "Where all of it is; GPUs are not to be had in every region."
  type        = string
  default     = "us-east-1"
}

variable "name" {
  description = "Of everything that is made, and the value of the tag `project`, by which costs are told apart."
  type        = string
  default     = "corpusmill"
}

variable "cidr" {
  description = "Addresses of the network: a /16, cut into /20."
  type        = string
  default     = "10.40.0.0/16"
}

variable "admin_cidrs" {
  description = "From where the cluster's API is reached, such as [\"203.0.113.7/32\"]; empty: from inside alone."
  type        = list(string)
  default     = []
  validation {
    condition     = !contains(var.admin_cidrs, "0.0.0.0/0")
    error_message = "The cluster's API is not for everybody: give the addresses of those who administer it."
  }
}

variable "admin_role_arn" {
  description = "ARN of the IAM role that administers the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Of EKS; the manifests are checked against this version."
  type        = string
  default     = "1.34"
}

variable "system_nodes" {
  description = "Machines that stay: Prefect's server, its worker for data stages, Flink's manager, the job server."
  type        = object({ instance_type = string, count = number })
  default     = { instance_type = "m7i.2xlarge", count = 2 }
}

variable "data_nodes" {
  description = "Spot machines for data stages; one Flink task manager with its Python workers on each. Several types of one size: spot machines of one type alone run out."
  type        = object({ instance_types = list(string), max = number, desired = number })
  default     = { instance_types = ["m7i.4xlarge", "m7a.4xlarge", "m6i.4xlarge", "m6a.4xlarge"], max = 16, desired = 2 }
}

variable "gpu_nodes" {
  description = "Machines that train; `capacity` is ON_DEMAND or SPOT."
  type        = object({ instance_type = string, max = number, desired = number, capacity = string })
  default     = { instance_type = "p5.48xlarge", max = 2, desired = 0, capacity = "ON_DEMAND" }
  validation {
    condition     = contains(["ON_DEMAND", "SPOT"], var.gpu_nodes.capacity)
    error_message = "gpu_nodes.capacity is ON_DEMAND or SPOT."
  }
}

variable "database" {
  description = "PostgreSQL for Prefect's history."
  type        = object({ instance_class = string, storage_gb = number, multi_az = bool })
  default     = { instance_class = "db.t4g.medium", storage_gb = 50, multi_az = false }
}

variable "monthly_limit_usd" {
  description = "What all of it may cost in a month; mail is sent when 80% is forecast, and when 100% is spent."
  type        = number
  default     = 5000
}

variable "budget_emails" {
  description = "Who gets that mail."
  type        = list(string)
  validation {
    condition     = length(var.budget_emails) > 0
    error_message = "Give an address: a budget that tells nobody is none."
  }
}
