output "corpus" {
  description = "Where a corpus goes: --root of every command."
  value       = "s3://${aws_s3_bucket.corpus.id}/main"
}

output "registry" {
  description = "What stands for REGISTRY in the kustomizations."
  value       = split("/", aws_ecr_repository.image["flows"].repository_url)[0]
}

output "database" {
  description = "Host and port of PostgreSQL."
  value       = aws_db_instance.prefect.endpoint
}

output "database_secret" {
  description = "ARN of the secret in Secrets Manager that holds its user and password."
  value       = aws_db_instance.prefect.master_user_secret[0].secret_arn
}

output "runs" {
  description = "File system of the storage class `efs`."
  value       = aws_efs_file_system.runs.id
}
