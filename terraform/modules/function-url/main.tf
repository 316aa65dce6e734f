locals {
  # The key of each becomes a part of its statement's name.
  invokers = var.authorization == "NONE" ? { Everyone = "*" } : var.invokers
}

resource "aws_lambda_function_url" "this" {
  function_name      = var.function.function_name
  qualifier          = var.function.alias
  authorization_type = var.authorization
  invoke_mode        = var.stream_responses ? "RESPONSE_STREAM" : "BUFFERED"

  dynamic "cors" {
    for_each = var.cors[*]

    content {
      allow_origins     = cors.value.allow_origins
      allow_methods     = cors.value.allow_methods
      allow_headers     = cors.value.allow_headers
      expose_headers    = cors.value.expose_headers
      allow_credentials = cors.value.allow_credentials
      max_age           = cors.value.max_age
    }
  }

  lifecycle {
    precondition {
      condition     = local.may_be_emulated
      error_message = "`emulated` is for an emulator, and S3 says that this is an account of AWS: leave it out. It would leave the URL without its second permission, so that every call is answered 403."
    }
  }
}

# A caller needs two permissions: for the URL, and for the function behind it.
# https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
resource "aws_lambda_permission" "url" {
  #checkov:skip=CKV_AWS_301: open to everyone only with authorization NONE, which the caller asks for by name; the function then checks who calls
  for_each = local.invokers

  statement_id           = "InvokeUrl${each.key}"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = var.function.function_name
  qualifier              = var.function.alias
  principal              = each.value
  function_url_auth_type = var.authorization
}

# The second one holds only for calls that came through the URL. Without that condition it would let
# its principals call the function by the Invoke API as well: everyone, with authorization NONE. The
# provider has an argument for the condition (`invoked_via_function_url`) from 6.29 on only, so
# CloudFormation holds the permission.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-lambda-permission.html
resource "aws_cloudformation_stack" "invoke" {
  #checkov:skip=CKV_AWS_124: the stack holds permissions alone, and whoever applies it waits for its end; there is nobody to notify
  count = !var.emulated && length(local.invokers) > 0 ? 1 : 0

  name = "${replace(var.function.function_name, "_", "-")}-url-invoke"
  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "Who may invoke ${var.function.function_name}:${var.function.alias} through its URL"
    Resources = {
      for key, principal in local.invokers : "Invoke${key}" => {
        Type = "AWS::Lambda::Permission"
        Properties = {
          Action                = "lambda:InvokeFunction"
          FunctionName          = "${var.function.function_name}:${var.function.alias}"
          Principal             = principal
          InvokedViaFunctionUrl = true
        }
      }
    }
  })

  tags = var.tags
}
