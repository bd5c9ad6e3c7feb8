"""From a configuration to what the rules need, a module per stage, named like its `.smk`.

Of every rule a stage has up to three methods: `<rule>`, its `spec`; `<rule>_code`, its `code`,
where plug-ins are part of it; `<rule>_inputs`, its inputs where they follow from the configuration.
Only `rules/` and `neft.workflow` import it.
"""
