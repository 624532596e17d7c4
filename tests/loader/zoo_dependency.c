/* A library that is gone when the plugin that needs it is opened. */
int zoo_dependency(void);

__attribute__((visibility("default"))) int zoo_dependency(void)
{
  return 0;
}
