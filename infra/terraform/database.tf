resource "aws_db_subnet_group" "main" {
  name_prefix = "${var.name}-"
  subnet_ids  = aws_subnet.private[*].id
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  description = "PostgreSQL for the cluster's machines"
  vpc_id      = aws_vpc.main.id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL"
  referenced_security_group_id = aws_eks_cluster.main.vpc_config[0].cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# The password is made and kept by Secrets Manager: it is in no state of Terraform.
resource "aws_db_instance" "prefect" {
  identifier_prefix           = "${var.name}-"
  engine                      = "postgres"
  engine_version              = "17"
  instance_class              = var.database.instance_class
  allocated_storage           = var.database.storage_gb
  storage_type                = "gp3"
  storage_encrypted           = true
  multi_az                    = var.database.multi_az
  db_name                     = "prefect"
  username                    = "prefect"
  manage_master_user_password = true
  db_subnet_group_name        = aws_db_subnet_group.main.name
  vpc_security_group_ids      = [aws_security_group.database.id]
  publicly_accessible         = false
  backup_retention_period     = 7
  auto_minor_version_upgrade  = true
  deletion_protection         = true
  skip_final_snapshot         = false
  final_snapshot_identifier   = "${var.name}-last"
}
