"""`python -m interlock`: the command line."""

if __name__ == "__main__":
    from .cli.main import main

    main()
